"""The warm index: what Route answers from, kept fresh by revision."""
