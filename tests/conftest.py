"""Present so that the test folders can import the helpers beside it."""
