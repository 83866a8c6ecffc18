"""One YAML file and a policy folder into frozen nouns."""
