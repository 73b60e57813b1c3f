"""The screen: the only folder that imports textual. It is started by ``kmon.tui.launch.run_app``."""
