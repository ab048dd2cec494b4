"""One file a method, each one public function over the executor."""
