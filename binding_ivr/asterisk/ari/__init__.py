"""ARI: calls are placed, watched and ended by it, over HTTP and its event socket."""
