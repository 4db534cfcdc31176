"""genharness: generative image models under equal compute budgets."""
