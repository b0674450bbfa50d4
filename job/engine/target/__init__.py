"""Models for a TensorFlow that is older than the running one."""
