"""Policies beside the perceptron: the graph network, classical rules, and what they are made of."""
