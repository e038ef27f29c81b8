"""`cczoo-install doctor`: what stands between this machine and a green badge, on one screen."""
