"""Widgets to explore a study in JupyterLab: readouts donor by donor, and the gates of one file.

What is shown is computed by plain functions of a selection; the widgets only ask them and show their answers.
"""
