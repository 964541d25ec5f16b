"""CrossVIS (Yang et al., ICCV 2021)."""
