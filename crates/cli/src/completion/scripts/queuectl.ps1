# Completion of queuectl command lines in PowerShell.

Register-ArgumentCompleter -Native -CommandName queuectl -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $elements = @($commandAst.CommandElements | Where-Object { $_.Extent.StartOffset -lt $cursorPosition })
    $words = @($elements | ForEach-Object { $_.Extent.Text })
    $program = $words[0]
    # An empty argument does not reach a program in every version.
    $options = @()
    if ($elements[-1].Extent.EndOffset -lt $cursorPosition) { $options = @('--new-word') }
    $lines = @(& $program complete @options -- @words 2>$null)
    if ($lines.Count -eq 0) { return }
    if ($lines[0] -eq 'values') {
        foreach ($line in $lines | Select-Object -Skip 1) {
            $value, $about = $line -split "`t", 2
            if (-not $about) { $about = $value }
            $text = if ($value -match '[^\w.:=@%+/-]') { "'" + ($value -replace "'", "''") + "'" } else { $value }
            [System.Management.Automation.CompletionResult]::new($text, $value, 'ParameterValue', $about)
        }
    } else {
        [System.Management.Automation.CompletionCompleters]::CompleteFilename($wordToComplete)
    }
}
