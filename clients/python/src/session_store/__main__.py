"""`python -m session_store`"""

from session_store.cli import main

if __name__ == "__main__":
    main()
