"""`python -m alert_bridge.cli`: the console command, where its script is not on the path."""

from alert_bridge.cli import main

main()
