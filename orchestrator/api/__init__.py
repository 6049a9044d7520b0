"""Routes, who may call them, and problem documents. HTTP appears here and nowhere else."""
