"""What methods return."""
