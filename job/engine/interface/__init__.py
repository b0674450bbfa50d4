"""What a model is fed and what it answers: signatures, as they were exported or as they are found."""
