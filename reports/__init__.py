"""Reports made from records alone: tables, plots, a markdown file and a self-contained page."""
