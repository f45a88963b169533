"""What the service says about itself: health, version, limits, queue, metrics, problem pages."""
