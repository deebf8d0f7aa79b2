"""Channels: one folder for each way to reach people. They never touch the store."""
