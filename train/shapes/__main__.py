"""`python -m train.shapes`."""

from train.shapes.stages import main

raise SystemExit(main())
