"""What do they want done? Quiet: one file per protocol."""
