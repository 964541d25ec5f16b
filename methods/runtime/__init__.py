"""What the methods share: operators, data, training, inference."""
