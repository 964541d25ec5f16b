"""MS-STS VIS (Thawakar et al., ECCV 2022)."""
