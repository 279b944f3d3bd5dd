"""The same numbers on a GPU, by kernels written in Triton; nothing here is needed to understand the losses."""
