"""python -m smtp_auth_report"""

from smtp_auth_report.cli import main

main()
