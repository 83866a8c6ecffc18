"""Demo tools and a demo agent, real servers on loopback."""
