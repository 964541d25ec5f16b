"""Inter-frame communication transformers (Hwang et al., NeurIPS 2021)."""
