"""SeqFormer (Wu et al., ECCV 2022)."""
