"""Pure rules of rounds, assignments, selection and pacing; time and randomness are arguments."""
