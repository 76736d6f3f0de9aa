"""From what a run holds to what figures draw and readers read: shared by pages and reports."""
