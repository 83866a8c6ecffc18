"""Memory and storage servers of others, as they are: ``make stores`` installs them."""
