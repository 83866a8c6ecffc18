"""Programs of others that the tests of the deployment use, held to their hashes."""
