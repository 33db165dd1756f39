"""Pictures of the documentation: registered attacks on classifiers of two pixels, drawn from what they asked for."""
