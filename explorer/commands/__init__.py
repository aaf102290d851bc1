"""What each command does: one file a command, called by the command line and by nobody else."""
