"""HTTP/1.1 bytes to and from the pipeline: listener, upstream pool, tunnels. I/O."""
