"""Packages of a bundle with its runtime, as each platform expects them: what an app's developer installs."""
