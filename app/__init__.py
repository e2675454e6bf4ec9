"""The app: five stations over the core. Views pick, load, draw and say; they compute nothing."""
