"""Who is asking? Quiet: reads the request, touches nothing."""
