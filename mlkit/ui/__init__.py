"Dashboards: charts and run tables in a notebook, on a local page, and in one file."
