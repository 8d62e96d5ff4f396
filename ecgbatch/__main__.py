"""python -m ecgbatch"""

from ecgbatch.cli.main import main

if __name__ == "__main__":
    main()
