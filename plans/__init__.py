"""What a round is, as data, and how to run one: manifest, bundle, program, client loop, server part, sums."""
