"""One file for each method, with one public function on top of the executor."""
