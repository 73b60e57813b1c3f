"""The screen: the only place that imports textual. ``kmon.tui.launch.run_app`` is its front door."""
