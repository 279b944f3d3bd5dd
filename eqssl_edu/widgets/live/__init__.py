"""Pages that compute: networks as plans, and the scripts that run them."""
