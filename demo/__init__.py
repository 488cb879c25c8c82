"""The demo: `kubegate expose` in front of your cluster, or of a stand-in API server where there is none. `python -m demo`."""
