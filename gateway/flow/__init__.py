"""Where values come from: what each run was told, by whom, with which labels. Quiet: no I/O, no clock."""
