"""What stands in texts: secrets, personal data, instructions meant for a model, characters that nobody sees. Quiet."""
