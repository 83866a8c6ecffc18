"""What a call costs, in US dollars: tokens of models by their rates, other calls by the price the operator gave."""
