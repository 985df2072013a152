"""
Submissions as files: one row for each, whatever the number of rows.

To add a kind: write one file after `interface.py` and name it here.
"""

from __future__ import annotations

from smtp_auth_report.exports.csv_file import Csv
from smtp_auth_report.exports.interface import Export
from smtp_auth_report.exports.json_lines import JsonLines
from smtp_auth_report.exports.parquet import Parquet
from smtp_auth_report.exports.xlsx import Xlsx

EXPORTS: dict[str, Export] = {export.name: export for export in (Csv(), JsonLines(), Parquet(), Xlsx())}
"""By name, in the order in which they are offered."""
