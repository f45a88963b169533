"""The Open Inference Protocol on policies: tensors in, tensors out, for clients that serve many kinds of predictors."""
