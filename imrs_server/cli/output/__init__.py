"""What commands print: tables for people, JSON for programs, CSV for spreadsheets; one look for all."""
