"""An installation, looked at part by part; each look is a check with a fact and, if need be, a remedy."""
